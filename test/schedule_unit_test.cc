#include "core/base/schedule_unit.h"

#include "test/catch.h"

using namespace bough;

TEST_CASE("periods follow Marian's grammar", "[settings]") {
  struct Row {
    const char* text;
    int64_t count;
    ScheduleUnit unit;
    const char* formatted;
  };
  const Row rows[] = {{"4000u", 4000, ScheduleUnit::updates, "4000u"},
                      {"4000", 4000, ScheduleUnit::updates, "4000u"},
                      {"0", 0, ScheduleUnit::updates, "0u"},
                      {"10e", 10, ScheduleUnit::epochs, "10e"},
                      {"2Gt", 2'000'000'000, ScheduleUnit::labels, "2Gt"},
                      {"2ku", 2000, ScheduleUnit::updates, "2000u"},
                      {"300Ku", 300'000, ScheduleUnit::updates, "300000u"},
                      {"100,000u", 100'000, ScheduleUnit::updates, "100000u"},
                      {"1.5k", 1500, ScheduleUnit::updates, "1500u"},
                      {"3T", 3'000'000'000'000, ScheduleUnit::updates, "3Tu"},
                      {"5M", 5'000'000, ScheduleUnit::updates, "5Mu"},
                      {"7t", 7, ScheduleUnit::labels, "7t"}};
  for (const Row& row : rows) {
    INFO(row.text);
    SchedulePeriod period, again;
    REQUIRE(parse_value(row.text, period));
    CHECK(period.count == row.count);
    CHECK(period.unit == row.unit);
    CHECK(format_value(period) == row.formatted);
    REQUIRE(parse_value(format_value(period), again));
    CHECK(again == period);
  }
}

TEST_CASE("what is no period leaves the value alone", "[settings]") {
  for (const char* text : {"", "u", "k", "ku", "abc", "1.5u", "-3u", "4000x", "4000uu", "1e400T",
                           "99999999999999999999", "9999999T", "nan", "inf", "4 u", " 4u", "0x10"}) {
    INFO(text);
    SchedulePeriod period{17, ScheduleUnit::epochs};
    CHECK_FALSE(parse_value(text, period));
    CHECK(period == SchedulePeriod{17, ScheduleUnit::epochs});
  }
}

TEST_CASE("a period is crossed when a multiple of it was reached", "[settings]") {
  const SchedulePeriod every{1000, ScheduleUnit::labels};
  CHECK_FALSE(every.crossed(0, 999));
  CHECK(every.crossed(0, 1000));
  CHECK_FALSE(every.crossed(1000, 1999));
  CHECK(every.crossed(1990, 2010));
  CHECK(every.crossed(10, 5000));
  CHECK_FALSE(SchedulePeriod{}.crossed(0, 5000));
}

TEST_CASE("stop criteria are periods with commas between them", "[settings]") {
  StopCriteria stop;
  REQUIRE(parse_value("10e,300Ku,20Gt", stop));
  CHECK(stop == StopCriteria{300'000, 20'000'000'000, 10});
  CHECK(format_value(stop) == "10e,300000u,20Gt");
  REQUIRE(parse_value("0e", stop));
  CHECK(stop == StopCriteria{});
  CHECK(format_value(stop) == "0e");
  CHECK_FALSE(parse_value("10e,", stop));
  CHECK_FALSE(parse_value("", stop));
}

TEST_CASE("a plus sign makes a stop criterion count from where a run starts", "[settings]") {
  StopCriteria stop;
  REQUIRE(parse_value("+10e,300u,+2kt", stop));
  CHECK(stop.epochs == 10);
  CHECK(stop.more_epochs);
  CHECK_FALSE(stop.more_updates);
  CHECK(format_value(stop) == "+10e,300u,+2000t");
  for (const char* text : {"+", "++1e", "1e,+", "+-1u"}) CHECK_FALSE(parse_value(text, stop));
}
