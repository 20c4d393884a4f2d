# The CPU's backend: what is compiled for which instructions. Included by CMakeLists.txt.
set(levels generic)
if(is_x86)
  set(levels generic avx2 avx512)
  set(march_generic -march=x86-64)
  set(march_avx2 -march=x86-64-v3)
  set(march_avx512 -march=x86-64-v4)
  set(march_avx512_vnni -march=x86-64-v4 -mavx512vnni)  # of products in 8 bits alone
endif()

# Loops of products, once for every level of instructions: the machine's is chosen when a program starts. No fused
# multiply-add by the compiler's choice: all levels give the same bits.
function(bough_panel_kernels level)
  add_library(bough_panels_${level} OBJECT ${ARGN})
  target_include_directories(bough_panels_${level} PRIVATE ${PROJECT_SOURCE_DIR})
  target_compile_definitions(bough_panels_${level} PRIVATE BOUGH_LEVEL=${level})
  target_compile_options(bough_panels_${level} PRIVATE -ffp-contract=off ${march_${level}})
  target_sources(bough_cpu PRIVATE $<TARGET_OBJECTS:bough_panels_${level}>)
endfunction()

# The other kernels for a level, as one object that shows nothing but the function that makes a backend. Functions that
# headers define (of templates, most of them) stay its own: the linker, which keeps one copy of each for the whole
# program, would otherwise run one that was compiled for AVX-512 on a machine without it.
function(bough_backend_of level)
  add_library(bough_backend_${level} OBJECT ${backend_sources})
  target_link_libraries(bough_backend_${level} PRIVATE bough_core Eigen3::Eigen)
  target_compile_definitions(bough_backend_${level} PRIVATE BOUGH_LEVEL=${level})
  target_compile_options(bough_backend_${level} PRIVATE -fno-gnu-unique ${march_${level}})  # its own, too
  set(whole ${CMAKE_BINARY_DIR}/backend_${level}_whole.o)
  set(object ${CMAKE_BINARY_DIR}/backend_${level}.o)
  add_custom_command(OUTPUT ${object}
    COMMAND ${CMAKE_LINKER} -r --force-group-allocation -o ${whole} $<TARGET_OBJECTS:bough_backend_${level}>
    COMMAND ${CMAKE_OBJCOPY} --wildcard --keep-global-symbol=*make_backend_of_level* ${whole} ${object}
    DEPENDS bough_backend_${level} $<TARGET_OBJECTS:bough_backend_${level}> COMMAND_EXPAND_LISTS VERBATIM)
  target_sources(bough_cpu PRIVATE ${object})
endfunction()

file(GLOB backend_sources CONFIGURE_DEPENDS core/cpu/*.cc)
list(FILTER backend_sources EXCLUDE REGEX "/(level|panel_kernels|int8_kernels)\\.cc$")
add_library(bough_cpu STATIC core/cpu/level.cc)
target_link_libraries(bough_cpu PUBLIC bough_core PRIVATE Eigen3::Eigen)
if(is_x86 AND BOUGH_ARCH STREQUAL portable)
  target_compile_definitions(bough_cpu PRIVATE BOUGH_PORTABLE)
  foreach(level ${levels})
    bough_backend_of(${level})
  endforeach()
else()
  target_sources(bough_cpu PRIVATE ${backend_sources})
  target_compile_definitions(bough_cpu PRIVATE BOUGH_LEVEL=native)
endif()
foreach(level ${levels})
  bough_panel_kernels(${level} core/cpu/panel_kernels.cc core/cpu/int8_kernels.cc)
endforeach()
if(is_x86)
  bough_panel_kernels(avx512_vnni core/cpu/int8_kernels.cc)
endif()
