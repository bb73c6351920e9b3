# Everything the build takes from outside. scripts/setup.sh installs what is missing.

find_package(Threads REQUIRED)
find_package(LibTorch 2.0 REQUIRED)
find_package(yaml-cpp REQUIRED)
find_package(fmt REQUIRED)
find_package(spdlog REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(SQLiteCpp REQUIRED)
find_package(OpenSSL REQUIRED COMPONENTS Crypto)
find_package(Boost 1.74 REQUIRED COMPONENTS program_options)
find_package(ICU REQUIRED COMPONENTS uc)
find_package(PkgConfig REQUIRED)
pkg_check_modules(pcre2 REQUIRED IMPORTED_TARGET libpcre2-8)
pkg_check_modules(sentencepiece REQUIRED IMPORTED_TARGET sentencepiece)
pkg_check_modules(zstd REQUIRED IMPORTED_TARGET libzstd)
if(CONDENSE_TESTS)
  find_package(GTest REQUIRED)
endif()
if(CONDENSE_BENCHMARKS)
  find_package(benchmark REQUIRED)
endif()

# LibTorch's wheel carries the headers of another release of fmt, whose functions are in no library
# here. A folder that holds the right ones alone is searched before LibTorch's.
get_target_property(_fmt_include fmt::fmt INTERFACE_INCLUDE_DIRECTORIES)
file(MAKE_DIRECTORY "${CMAKE_BINARY_DIR}/include_first")
file(CREATE_LINK "${_fmt_include}/fmt" "${CMAKE_BINARY_DIR}/include_first/fmt" SYMBOLIC)
set_property(TARGET LibTorch::cpu PROPERTY INTERFACE_INCLUDE_DIRECTORIES
  "${CMAKE_BINARY_DIR}/include_first;${LibTorch_INCLUDE_DIR};${LibTorch_INCLUDE_DIR}/torch/csrc/api/include")
