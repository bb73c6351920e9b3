# `cmake --install` and `cpack`: the program, the data that it refers to by name, its set-up script and
# shell completions.
#
# <prefix>/bin/runner looks for its data in <prefix>/share/condense (src/config/paths.h), and for
# LibTorch in <prefix>/lib/condense/libtorch. `cmake --install` makes that a link to the LibTorch that
# the program was built with. Packages leave it out: <prefix>/bin/condense-setup fetches it.

include(GNUInstallDirs)

get_target_property(_torch_library LibTorch::cpu IMPORTED_LOCATION)
get_filename_component(_torch_folder "${_torch_library}" DIRECTORY)
get_filename_component(_torch_root "${_torch_folder}" DIRECTORY)
set_target_properties(runner PROPERTIES INSTALL_RPATH "$ORIGIN/../lib/condense/libtorch/lib")

set(_component COMPONENT program)
install(TARGETS runner RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}" ${_component})
install(DIRECTORY configs experiments DESTINATION "${CMAKE_INSTALL_DATADIR}/condense" ${_component})
install(FILES LICENSE README.md DESTINATION "${CMAKE_INSTALL_DATADIR}/doc/condense" ${_component})

# The part of a version that has to agree between building and running.
string(REGEX REPLACE "^([0-9]+\\.[0-9]+).*" "\\1" LibTorch_VERSION_NEEDED "${LibTorch_VERSION}")
configure_file(scripts/condense-setup.in condense-setup @ONLY)
install(PROGRAMS "${CMAKE_BINARY_DIR}/condense-setup" DESTINATION "${CMAKE_INSTALL_BINDIR}" ${_component})
install(FILES scripts/common.sh scripts/packages.sh scripts/pip.sh scripts/libtorch.sh
        DESTINATION "${CMAKE_INSTALL_DATADIR}/condense/scripts" ${_component})
install(PROGRAMS scripts/get_model.sh
        DESTINATION "${CMAKE_INSTALL_DATADIR}/condense/scripts" ${_component})

# The program prints its completions itself. They go where the shells look by themselves.
set(_completions "${CMAKE_BINARY_DIR}/completions")
file(MAKE_DIRECTORY "${_completions}")
foreach(_shell bash zsh fish)
  install(CODE "execute_process(COMMAND \"$<TARGET_FILE:runner>\" completion ${_shell}
                                OUTPUT_FILE \"${_completions}/${_shell}\" COMMAND_ERROR_IS_FATAL ANY)"
          ${_component})
endforeach()
install(FILES "${_completions}/bash" RENAME runner
        DESTINATION "${CMAKE_INSTALL_DATADIR}/bash-completion/completions" ${_component})
install(FILES "${_completions}/zsh" RENAME _runner
        DESTINATION "${CMAKE_INSTALL_DATADIR}/zsh/site-functions" ${_component})
install(FILES "${_completions}/fish" RENAME runner.fish
        DESTINATION "${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d" ${_component})

install(CODE "
  set(_link \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/lib/condense/libtorch\")
  if(NOT EXISTS \"\${_link}/lib/libtorch_cpu.so\")
    get_filename_component(_parent \"\${_link}\" DIRECTORY)
    file(MAKE_DIRECTORY \"\${_parent}\")
    file(CREATE_LINK \"${_torch_root}\" \"\${_link}\" SYMBOLIC)
  endif()" COMPONENT libtorch)

# `cpack` in a build folder: a .tar.gz that runs wherever it is unpacked, and a .deb for Debian 12.
set(CPACK_GENERATOR "TGZ;DEB")
set(CPACK_PACKAGE_NAME condense)
set(CPACK_PACKAGE_VENDOR Condense)
set(CPACK_PACKAGE_CONTACT "The authors of Condense")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "structured compression of language models, and its evaluation")
set(CPACK_PACKAGE_DESCRIPTION
    "Compresses OPT, LLaMA-2 and LLaMA-3 checkpoints with MoDeGPT, SliceGPT, SVD-LLM, ShortGPT and others, measures what is left, and records every number with its inputs.")
set(CPACK_RESOURCE_FILE_LICENSE "${PROJECT_SOURCE_DIR}/LICENSE")
set(CPACK_INSTALL_CMAKE_PROJECTS "${CMAKE_BINARY_DIR};condense;program;/")
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_MAINTAINER "The authors of Condense <condense@localhost>")
set(CPACK_DEBIAN_PACKAGE_SECTION science)
set(CPACK_DEBIAN_PACKAGE_DEPENDS "python3, python3-pip, unzip, ca-certificates")
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS gnuplot-nox)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS_PRIVATE_DIRS "${_torch_folder}")
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA "${PROJECT_SOURCE_DIR}/cmake/deb/postinst;${PROJECT_SOURCE_DIR}/cmake/deb/prerm")
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
include(CPack)
