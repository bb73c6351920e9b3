# Writes OUTPUT with the git revision of SOURCE; leaves it alone where nothing changed, so that nothing
# is compiled again.
set(revision "unknown")
set(dirty "false")
find_program(GIT git)
if(GIT)
  execute_process(COMMAND "${GIT}" -C "${SOURCE}" rev-parse HEAD OUTPUT_VARIABLE found
                  OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE failed)
  if(NOT failed)
    set(revision "${found}")
    # Results that the program writes into the tree are no change of the program.
    execute_process(COMMAND "${GIT}" -C "${SOURCE}" status --porcelain -- src cmake configs CMakeLists.txt
                    OUTPUT_VARIABLE changes OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
    if(changes)
      set(dirty "true")
    endif()
  endif()
endif()
file(CONFIGURE OUTPUT "${OUTPUT}" CONTENT
"constexpr char kRevision[] = \"${revision}\";
constexpr bool kRevisionDirty = ${dirty};
constexpr char kBuildType[] = \"${BUILD_TYPE}\";
")
