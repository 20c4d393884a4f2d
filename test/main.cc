#define CATCH_CONFIG_MAIN
#include "test/catch.h"
