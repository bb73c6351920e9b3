# `cmake --install`: the program, the data that it refers to by name, and shell completion.
#
# <prefix>/bin/runner looks for its data in <prefix>/share/condense (src/config/paths.h). LibTorch is
# not copied: the installed program finds the one that it was built with through its run path.

include(GNUInstallDirs)

get_target_property(_torch_library LibTorch::cpu IMPORTED_LOCATION)
get_filename_component(_torch_folder "${_torch_library}" DIRECTORY)
set_target_properties(runner PROPERTIES INSTALL_RPATH "${_torch_folder}")

install(TARGETS runner RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}")
install(DIRECTORY configs experiments DESTINATION "${CMAKE_INSTALL_DATADIR}/condense")

# Where the shells look by themselves.
install(FILES completions/runner.bash RENAME runner
        DESTINATION "${CMAKE_INSTALL_DATADIR}/bash-completion/completions")
install(FILES completions/_runner DESTINATION "${CMAKE_INSTALL_DATADIR}/zsh/site-functions")
install(FILES completions/runner.fish DESTINATION "${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d")
