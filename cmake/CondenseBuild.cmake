# How the modules under src/ are built. Each folder is one target, named condense_<folder>; the link
# list of a folder is the list of folders it may include from (tests/layers.txt checks the same).

find_program(CONDENSE_CCACHE ccache)
if(CONDENSE_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  # Precompiled headers carry timestamps that ccache has to be told to disregard.
  set(CMAKE_CXX_COMPILER_LAUNCHER
      ${CMAKE_COMMAND} -E env CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime
      CCACHE_NOHASHDIR=1 CCACHE_BASEDIR=${CMAKE_SOURCE_DIR} ${CONDENSE_CCACHE})
endif()

add_library(condense_flags INTERFACE)
target_compile_options(condense_flags INTERFACE -Wall -Wextra -Wno-missing-field-initializers)
if(CONDENSE_WERROR)
  target_compile_options(condense_flags INTERFACE -Werror)
endif()
if(CONDENSE_SANITIZE)
  target_compile_options(condense_flags INTERFACE -fsanitize=${CONDENSE_SANITIZE} -fno-omit-frame-pointer)
  target_link_options(condense_flags INTERFACE -fsanitize=${CONDENSE_SANITIZE})
endif()

# What nearly every file includes, compiled once for folders without LibTorch and once for those with it.
set(CONDENSE_COMMON_HEADERS <algorithm> <cstdint> <filesystem> <functional> <map> <memory> <optional> <set> <span>
    <string> <string_view> <utility> <vector> <fmt/format.h>)

# condense_module(<folder> [TORCH] [REGISTERED] USES <target>...)
#
# TORCH: the folder's sources include LibTorch and share its precompiled header.
# REGISTERED: the folder holds self-registering parts. It is linked as objects, because a linker
# drops the members of a static library that nothing refers to.
function(condense_module folder)
  cmake_parse_arguments(ARG "TORCH;REGISTERED" "" "USES" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/*.cc")
  list(FILTER sources EXCLUDE REGEX "/main\\.cc$")
  set(target condense_${folder})
  if(ARG_REGISTERED)
    add_library(${target}_objects OBJECT ${sources})
    add_library(${target} INTERFACE)
    target_link_libraries(${target} INTERFACE ${target}_objects $<TARGET_OBJECTS:${target}_objects>)
    set(compiled ${target}_objects)
  else()
    add_library(${target} STATIC ${sources})
    set(compiled ${target})
  endif()
  target_include_directories(${compiled} PUBLIC "${PROJECT_SOURCE_DIR}/src")
  target_link_libraries(${compiled} PUBLIC ${ARG_USES} PRIVATE condense_flags)
  if(ARG_TORCH)
    target_link_libraries(${compiled} PUBLIC LibTorch::cpu)
    set(first tensor)
    set(first_headers <ATen/ATen.h> ${CONDENSE_COMMON_HEADERS})
  else()
    set(first base)
    set(first_headers ${CONDENSE_COMMON_HEADERS})
  endif()
  if(folder STREQUAL first)
    target_precompile_headers(${compiled} PRIVATE ${first_headers})
  else()
    target_precompile_headers(${compiled} REUSE_FROM condense_${first})
  endif()
endfunction()
