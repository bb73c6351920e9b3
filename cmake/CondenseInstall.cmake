# `cmake --install`: the program, the data that it refers to by name, and shell completions.
#
# <prefix>/bin/runner looks for its data in <prefix>/share/condense (src/config/paths.h). LibTorch is
# not copied: the installed program finds the one that it was built with through its run path.

include(GNUInstallDirs)

get_target_property(_torch_library LibTorch::cpu IMPORTED_LOCATION)
get_filename_component(_torch_folder "${_torch_library}" DIRECTORY)
set_target_properties(runner PROPERTIES INSTALL_RPATH "${_torch_folder}")

install(TARGETS runner RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}")
install(DIRECTORY configs experiments DESTINATION "${CMAKE_INSTALL_DATADIR}/condense")

# The program prints its completions itself. They go where the shells look by themselves.
set(_completions "${CMAKE_BINARY_DIR}/completions")
file(MAKE_DIRECTORY "${_completions}")
foreach(_shell bash zsh fish)
  install(CODE "execute_process(COMMAND \"$<TARGET_FILE:runner>\" completion ${_shell}
                                OUTPUT_FILE \"${_completions}/${_shell}\" COMMAND_ERROR_IS_FATAL ANY)")
endforeach()
install(FILES "${_completions}/bash" RENAME runner
        DESTINATION "${CMAKE_INSTALL_DATADIR}/bash-completion/completions")
install(FILES "${_completions}/zsh" RENAME _runner
        DESTINATION "${CMAKE_INSTALL_DATADIR}/zsh/site-functions")
install(FILES "${_completions}/fish" RENAME runner.fish
        DESTINATION "${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d")
