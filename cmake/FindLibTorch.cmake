# LibTorch as an imported target, LibTorch::cpu: headers, libtorch_cpu and libc10. LibTorch::openmp is
# the OpenMP runtime that it runs on, for loops of our own: a second one would bring its own threads.
#
# libtorch_cuda is not linked. It is opened at run time when a GPU is asked for, so that one binary
# serves machines with and without one. Looked for in CMAKE_PREFIX_PATH (an unpacked LibTorch, or the
# folder `torch` of a Python installation), then in the cache that scripts/setup.sh fills.

set(_cache "$ENV{CONDENSE_CACHE}")
if(NOT _cache)
  set(_cache "$ENV{XDG_CACHE_HOME}")
  if(NOT _cache)
    set(_cache "$ENV{HOME}/.cache")
  endif()
  set(_cache "${_cache}/condense")
endif()

# A build folder may outlive the LibTorch that it was configured with.
if(LibTorch_CPU_LIBRARY AND NOT EXISTS "${LibTorch_CPU_LIBRARY}")
  unset(LibTorch_CPU_LIBRARY CACHE)
  unset(LibTorch_C10_LIBRARY CACHE)
  unset(LibTorch_INCLUDE_DIR CACHE)
endif()

find_library(LibTorch_CPU_LIBRARY torch_cpu HINTS "${_cache}/libtorch-2.11.0/torch" PATH_SUFFIXES lib)
get_filename_component(_root "${LibTorch_CPU_LIBRARY}" DIRECTORY)
get_filename_component(_root "${_root}" DIRECTORY)
find_library(LibTorch_C10_LIBRARY c10 PATHS "${_root}/lib" NO_DEFAULT_PATH)
find_path(LibTorch_INCLUDE_DIR ATen/ATen.h PATHS "${_root}/include" NO_DEFAULT_PATH)

if(LibTorch_INCLUDE_DIR AND EXISTS "${LibTorch_INCLUDE_DIR}/torch/headeronly/version.h")
  file(STRINGS "${LibTorch_INCLUDE_DIR}/torch/headeronly/version.h" _version
       REGEX "#define TORCH_VERSION_(MAJOR|MINOR|PATCH) ")
elseif(LibTorch_INCLUDE_DIR)
  file(STRINGS "${LibTorch_INCLUDE_DIR}/torch/csrc/api/include/torch/version.h" _version
       REGEX "#define TORCH_VERSION_(MAJOR|MINOR|PATCH) ")
endif()
string(REGEX REPLACE "[^0-9]*([0-9]+)[^0-9]+([0-9]+)[^0-9]+([0-9]+).*" "\\1.\\2.\\3" LibTorch_VERSION "${_version}")

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(LibTorch
  REQUIRED_VARS LibTorch_CPU_LIBRARY LibTorch_C10_LIBRARY LibTorch_INCLUDE_DIR
  VERSION_VAR LibTorch_VERSION
  REASON_FAILURE_MESSAGE "run scripts/setup.sh, or name an existing LibTorch 2.x with CMAKE_PREFIX_PATH")

if(LibTorch_FOUND AND NOT TARGET LibTorch::cpu)
  add_library(LibTorch::c10 SHARED IMPORTED)
  set_target_properties(LibTorch::c10 PROPERTIES IMPORTED_LOCATION "${LibTorch_C10_LIBRARY}")
  add_library(LibTorch::cpu SHARED IMPORTED)
  set_target_properties(LibTorch::cpu PROPERTIES
    IMPORTED_LOCATION "${LibTorch_CPU_LIBRARY}"
    INTERFACE_INCLUDE_DIRECTORIES "${LibTorch_INCLUDE_DIR};${LibTorch_INCLUDE_DIR}/torch/csrc/api/include"
    INTERFACE_LINK_LIBRARIES "LibTorch::c10"
    INTERFACE_COMPILE_DEFINITIONS "_GLIBCXX_USE_CXX11_ABI=1"
    # The wheel's library asks for the CUDA runtime, which lies in a folder that only its own RPATH names.
    INTERFACE_LINK_OPTIONS "LINKER:--allow-shlib-undefined;LINKER:--no-as-needed")
  file(GLOB _openmp "${_root}/lib/libgomp*.so*")
  if(NOT _openmp)  # built against the one of the system
    find_library(_system_openmp NAMES gomp libgomp.so.1 REQUIRED)
    set(_openmp "${_system_openmp}")
  endif()
  list(GET _openmp 0 _openmp)
  add_library(LibTorch::openmp SHARED IMPORTED)
  set_target_properties(LibTorch::openmp PROPERTIES IMPORTED_LOCATION "${_openmp}")
endif()
mark_as_advanced(LibTorch_CPU_LIBRARY LibTorch_C10_LIBRARY LibTorch_INCLUDE_DIR)
