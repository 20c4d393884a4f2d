# Read by cpack before it packs.
if(CPACK_BOUGH_ARCH STREQUAL native)
  message(FATAL_ERROR "package: this build is for this machine's processor, a package must run on others. "
                      "Build with cmake --preset package.")
endif()
