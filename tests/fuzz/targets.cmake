# SPDX-License-Identifier: Apache-2.0
# Build type Fuzz, clang only: every tests/fuzz/fuzz_<name>.c is one libFuzzer program; the target `fuzzers` builds all of them.
file(GLOB fuzzes CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/fuzz/fuzz_*.c)
add_custom_target(fuzzers)
foreach(source ${fuzzes})
  get_filename_component(name ${source} NAME_WE)
  add_executable(${name} ${source})
  target_include_directories(${name} PRIVATE ${CMAKE_CURRENT_SOURCE_DIR}/lib)
  target_compile_options(${name} PRIVATE -Wno-conversion)
  target_compile_definitions(${name} PRIVATE SOURCE_DIR="${CMAKE_SOURCE_DIR}")
  target_link_options(${name} PRIVATE -fsanitize=fuzzer)
  target_link_libraries(${name} PRIVATE room_tools room_http)
  add_dependencies(fuzzers ${name})
endforeach()
