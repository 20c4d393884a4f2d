#include "experiments/quickstart/words.h"

namespace bough::example {
namespace {

constexpr Gender m = Gender::masculine, f = Gender::feminine, n = Gender::neuter;

const WordRow city_rows[] = {{"Berlin", "Berlin"},   {"Munich", "München"},         {"Cologne", "Köln"},
                             {"Vienna", "Wien"},     {"Zurich", "Zürich"},          {"Hamburg", "Hamburg"},
                             {"Dresden", "Dresden"}, {"Nuremberg", "Nürnberg"},     {"Hanover", "Hannover"},
                             {"Geneva", "Genf"},     {"Brunswick", "Braunschweig"}, {"Bremen", "Bremen"},
                             {"Prague", "Prag"},     {"Warsaw", "Warschau"},        {"Rome", "Rom"},
                             {"Milan", "Mailand"},   {"Brussels", "Brüssel"},       {"Copenhagen", "Kopenhagen"}};
const WordRow food_rows[] = {{"flour", "Mehl"},    {"sugar", "Zucker"}, {"rice", "Reis"},
                             {"butter", "Butter"}, {"cheese", "Käse"},  {"salt", "Salz"},
                             {"coffee", "Kaffee"}, {"bread", "Brot"},   {"fish", "Fisch"}};
const WordRow weekday_rows[] = {{"Monday", "Montag"},       {"Tuesday", "Dienstag"}, {"Wednesday", "Mittwoch"},
                                {"Thursday", "Donnerstag"}, {"Friday", "Freitag"},   {"Saturday", "Samstag"},
                                {"Sunday", "Sonntag"}};
const MonthRow month_rows[] = {{"January", "Januar", 31},  {"February", "Februar", 28},  {"March", "März", 31},
                               {"April", "April", 30},     {"May", "Mai", 31},           {"June", "Juni", 30},
                               {"July", "Juli", 31},       {"August", "August", 31},     {"September", "September", 30},
                               {"October", "Oktober", 31}, {"November", "November", 30}, {"December", "Dezember", 31}};

const NounRow event_rows[] = {{"meeting", "Sitzung", f}, {"concert", "Konzert", n},        {"lecture", "Vortrag", m},
                              {"course", "Kurs", m},     {"exhibition", "Ausstellung", f}, {"wedding", "Hochzeit", f},
                              {"game", "Spiel", n},      {"exam", "Prüfung", f},           {"auction", "Auktion", f},
                              {"party", "Feier", f},     {"parade", "Umzug", m},           {"trial", "Prozess", m}};
const NounRow place_rows[] = {
    {"museum", "Museum", n},   {"library", "Bibliothek", f},    {"swimming pool", "Schwimmbad", n},
    {"office", "Büro", n},     {"restaurant", "Restaurant", n}, {"castle", "Schloss", n},
    {"bakery", "Bäckerei", f}, {"pharmacy", "Apotheke", f},     {"theatre", "Theater", n},
    {"zoo", "Zoo", m},         {"market", "Markt", m},          {"post office", "Postamt", n}};
const NounRow thing_rows[] = {
    {"coat", "Mantel", m},     {"book", "Buch", n},        {"lamp", "Lampe", f},    {"bicycle", "Fahrrad", n},
    {"table", "Tisch", m},     {"chair", "Stuhl", m},      {"bag", "Tasche", f},    {"camera", "Kamera", f},
    {"suitcase", "Koffer", m}, {"carpet", "Teppich", m},   {"bed", "Bett", n},      {"mirror", "Spiegel", m},
    {"picture", "Bild", n},    {"knife", "Messer", n},     {"vase", "Vase", f},     {"shirt", "Hemd", n},
    {"hat", "Hut", m},         {"ring", "Ring", m},        {"piano", "Klavier", n}, {"boat", "Boot", n},
    {"violin", "Geige", f},    {"cupboard", "Schrank", m}, {"tent", "Zelt", n},     {"drum", "Trommel", f}};

const UnitRow currency_rows[] = {{"dollar", "dollars", "Dollar", "Dollar", "Dollar", m},
                                 {"pound", "pounds", "Pfund", "Pfund", "Pfund", n},
                                 {"franc", "francs", "Franken", "Franken", "Franken", m},
                                 {"crown", "crowns", "Krone", "Kronen", "Kronen", f}};
const UnitRow duration_rows[] = {{"minute", "minutes", "Minute", "Minuten", "Minuten", f},
                                 {"hour", "hours", "Stunde", "Stunden", "Stunden", f},
                                 {"second", "seconds", "Sekunde", "Sekunden", "Sekunden", f},
                                 {"day", "days", "Tag", "Tage", "Tagen", m},
                                 {"week", "weeks", "Woche", "Wochen", "Wochen", f},
                                 {"month", "months", "Monat", "Monate", "Monaten", m},
                                 {"year", "years", "Jahr", "Jahre", "Jahren", n}};
const UnitRow item_rows[] = {{"apple", "apples", "Apfel", "Äpfel", "Äpfeln", m},
                             {"egg", "eggs", "Ei", "Eier", "Eiern", n},
                             {"bottle", "bottles", "Flasche", "Flaschen", "Flaschen", f},
                             {"glass", "glasses", "Glas", "Gläser", "Gläsern", n},
                             {"pear", "pears", "Birne", "Birnen", "Birnen", f},
                             {"cup", "cups", "Tasse", "Tassen", "Tassen", f},
                             {"pencil", "pencils", "Bleistift", "Bleistifte", "Bleistiften", m},
                             {"letter", "letters", "Brief", "Briefe", "Briefen", m},
                             {"key", "keys", "Schlüssel", "Schlüssel", "Schlüsseln", m},
                             {"flower", "flowers", "Blume", "Blumen", "Blumen", f},
                             {"stamp", "stamps", "Briefmarke", "Briefmarken", "Briefmarken", f},
                             {"photo", "photos", "Foto", "Fotos", "Fotos", n},
                             {"candle", "candles", "Kerze", "Kerzen", "Kerzen", f},
                             {"plate", "plates", "Teller", "Teller", "Tellern", m},
                             {"spoon", "spoons", "Löffel", "Löffel", "Löffeln", m},
                             {"coin", "coins", "Münze", "Münzen", "Münzen", f},
                             {"towel", "towels", "Handtuch", "Handtücher", "Handtüchern", n},
                             {"button", "buttons", "Knopf", "Knöpfe", "Knöpfen", m}};
const UnitRow length_rows[] = {{"kilometre", "kilometres", "Kilometer", "Kilometer", "Kilometern", m},
                               {"metre", "metres", "Meter", "Meter", "Metern", m},
                               {"mile", "miles", "Meile", "Meilen", "Meilen", f}};
const UnitRow weight_rows[] = {{"kilogram", "kilograms", "Kilogramm", "Kilogramm", "Kilogramm", n},
                               {"gram", "grams", "Gramm", "Gramm", "Gramm", n}};

const char* const first_name_rows[] = {"Anna", "Paul",  "Clara", "Jonas", "Lena",   "Felix",  "Maria", "Otto",
                                       "Emma", "David", "Julia", "Simon", "Sophie", "Martin", "Laura", "Thomas"};
const char* const surname_rows[] = {"Weber", "Schmidt", "Bauer",   "Wagner", "Koch",  "Richter",
                                    "Klein", "Wolf",    "Neumann", "Braun",  "Vogel", "Lang"};

const SentenceRow rows[] = {
    // Times and days.
    {"{event} begins at {time} on {weekday}.", "{event.n} beginnt am {weekday.n} um {time.n}."},
    {"On {weekday}, {event} starts at {time}.", "Am {weekday.n} fängt {event.n} um {time.n} an."},
    {"{event} took place on {date}.", "{event.n} fand am {date.d} statt."},
    {"{person} was born on {dateyear}.", "{person.n} wurde am {dateyear.d} geboren."},
    {"The train to {city} leaves at {time} and arrives at {time2}.",
     "Der Zug nach {city.n} fährt um {time.n} ab und kommt um {time2.n} an."},
    {"Because the train was {delay} late, {person} missed the connection at {time}.",
     "Weil der Zug {delay.a} Verspätung hatte, verpasste {person.n} den Anschluss um {time.n}."},
    {"{place} is open from {time} to {time2}.", "{place.n} ist von {time.n} bis {time2.n} geöffnet."},
    {"{person} said that {event} would begin at {time}.",
     "{person.n} sagte, dass {event.n} um {time.n} beginnen würde."},
    {"It is {time} in {city} now.", "In {city.n} ist es jetzt {time.n}."},
    {"On {weekday}, {date}, {person} will travel to {city}.",
     "Am {weekday.n}, dem {date.d}, wird {person.n} nach {city.n} reisen."},
    {"From {date} to {date2}, {place} is closed.", "Vom {date.d} bis zum {date2.d} ist {place.n} geschlossen."},
    {"Every {weekday} at {time}, {person} calls {person2}.",
     "Jeden {weekday.n} um {time.n} ruft {person.n} {person2.a} an."},
    {"{person} has been waiting in {city} since {time}.", "{person.n} wartet seit {time.n} in {city.n}."},
    {"The next bus to {city} comes in {duration}.", "Der nächste Bus nach {city.n} kommt in {duration.d}."},
    {"Bus number {number} leaves at {time}.", "Die Buslinie {number.n} fährt um {time.n} ab."},
    {"{person} must be in {city} before {time}.", "{person.n} muss vor {time.n} in {city.n} sein."},
    {"Today is {weekday}, {dateyear}.", "Heute ist {weekday.n}, der {dateyear.n}."},
    {"{person} does not know when {event} ended, but it was after {time}.",
     "{person.n} weiß nicht, wann {event.n} endete, aber es war nach {time.n}."},
    // Prices.
    {"{thing} costs {price}.", "{thing.n} kostet {price.a}."},
    {"{person} paid {price} for {thing}.", "{person.n} hat für {thing.a} {price.a} bezahlt."},
    {"On {dateyear}, {thing} cost {price}.", "Am {dateyear.d} kostete {thing.n} {price.a}."},
    {"On {date} at {time}, {person} sold {thing} for {price}.",
     "Am {date.d} um {time.n} verkaufte {person.n} {thing.a} für {price.a}."},
    {"If you buy {count}, you pay only {price}.", "Wenn Sie {count.a} kaufen, zahlen Sie nur {price.a}."},
    {"{items} cost {price} together.", "{items.n} kosten zusammen {price.a}."},
    {"The price of {thing} rose from {price} to {price2}.",
     "Der Preis für {thing.a} stieg von {price.d} auf {price2.a}."},
    {"Since {year}, prices have risen by {percent}.",
     "Seit dem Jahr {year.n} sind die Preise um {percent.n} gestiegen."},
    {"{person} says that {thing} is worth {price}.", "{person.n} sagt, dass {thing.n} {price.a} wert ist."},
    // Numbers and measures.
    {"In {year}, {city} had {big} inhabitants.", "Im Jahr {year.n} hatte {city.n} {big.n} Einwohner."},
    {"The bridge was built in {year} and is {distance} long.",
     "Die Brücke wurde im Jahr {year.n} gebaut und ist {distance.a} lang."},
    {"{thing} weighs {weight}.", "{thing.n} wiegt {weight.a}."},
    {"From {city} to {city2} it is {distance}.", "Von {city.n} bis {city2.n} sind es {distance.n}."},
    {"After {distance}, turn left.", "Biegen Sie nach {distance.d} links ab."},
    {"In {city}, the temperature fell to {temperature}.", "In {city.n} fiel die Temperatur auf {temperature.n}."},
    {"{person} needed {duration} for {distance}.", "{person.n} brauchte für {distance.a} {duration.a}."},
    {"There are {items} in {place}.", "{place.i} gibt es {items.a}."},
    {"The {rank} visitor received {thing}.", "Der {rank.n} Besucher erhielt {thing.a}."},
    {"{person} lives on the {floor} floor, in room number {number}.",
     "{person.n} wohnt im {floor.d} Stock in Zimmer Nummer {number.n}."},
    {"{crowd} people came to {event}.", "{event.z} kamen {crowd.n} Menschen."},
    {"{person} counted {count} and {count2}.", "{person.n} zählte {count.a} und {count2.a}."},
    {"The telephone number of {person} is {digits}.", "Die Telefonnummer von {person.d} lautet {digits.n}."},
    {"We need {weight} of {food} for {event}.", "Für {event.a} brauchen wir {weight.a} {food.n}."},
    {"{person} is {age} years old and has {count}.", "{person.n} ist {age.n} Jahre alt und hat {count.a}."},
    {"{number} plus {number2} is a simple sum.", "{number.n} plus {number2.n} ist eine einfache Rechnung."}};

}  // namespace

const std::span<const WordRow> cities = city_rows, foods = food_rows, weekdays = weekday_rows;
const std::span<const NounRow> events = event_rows, places = place_rows, things = thing_rows;
const std::span<const UnitRow> currencies = currency_rows, durations = duration_rows, items = item_rows,
                               lengths = length_rows, weights = weight_rows;
const std::span<const MonthRow> months = month_rows;
const std::span<const char*const> first_names = first_name_rows, surnames = surname_rows;
const std::span<const SentenceRow> sentence_rows = rows;
const UnitRow euro = {"euro", "euros", "Euro", "Euro", "Euro", m};
const UnitRow cent = {"cent", "cents", "Cent", "Cent", "Cent", m};

}  // namespace bough::example
