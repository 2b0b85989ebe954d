# prong_test(NAME SOURCES a.c b.c [LIBS libx ...] [LABELS l ...] [TIMEOUT seconds] [PLAIN])
#
# Builds one test program and makes one ctest of it, run in an empty folder of its own below
# <build>/tests/tmp. The framework is Criterion; where Criterion cannot run (ThreadSanitizer) or hides
# what the test is about (forks, leaked descriptors, exit codes; PLAIN), tests/support/plain_test.c.
option(PRONG_PLAIN_TESTS "build every test with the project's own small framework" OFF)

set(PRONG_TEST_USES_CRITERION ON)
if(PRONG_PLAIN_TESTS OR PRONG_SANITIZE MATCHES "thread")
  set(PRONG_TEST_USES_CRITERION OFF)
endif()

if(PRONG_TEST_USES_CRITERION AND NOT TARGET prong_criterion)
  find_library(PRONG_CRITERION_LIBRARY criterion)
  find_path(PRONG_CRITERION_INCLUDE criterion/criterion.h)
  find_library(PRONG_NANOMSG5_LIBRARY NAMES libnanomsg.so.5)
  if(NOT PRONG_CRITERION_LIBRARY OR NOT PRONG_CRITERION_INCLUDE OR NOT PRONG_NANOMSG5_LIBRARY)
    message(FATAL_ERROR
            "The tests need Criterion 2.4: install it with 'apt-get install libcriterion-dev', or "
            "configure with -DPRONG_PLAIN_TESTS=ON (own small framework) or -DPRONG_TESTS=OFF.")
  endif()
  add_library(prong_criterion INTERFACE)
  target_include_directories(prong_criterion SYSTEM INTERFACE ${PRONG_CRITERION_INCLUDE})
  target_link_libraries(prong_criterion INTERFACE ${PRONG_CRITERION_LIBRARY})
  # libnng and libnanomsg both export nn_*. Criterion needs those of libnanomsg, so libnanomsg has to
  # come first among the needed libraries: with libnng first, tests that fork die with SIGABRT, and
  # nng_fini() in a test cuts Criterion's own line. As link options, because those stand before all
  # objects and libraries, whatever order CMake gives to libraries (tests/support/check_order.py);
  # --no-as-needed, because nothing of ours refers to it.
  target_link_options(prong_criterion INTERFACE
                      "-Wl,--push-state,--no-as-needed" ${PRONG_NANOMSG5_LIBRARY}
                      "-Wl,--pop-state")
endif()

# Criterion lets pass what these words betray: a leak, a failed assertion in .fini, no test at all.
set(PRONG_TEST_FAILS
    "(Address|Leak|Thread|UndefinedBehavior)Sanitizer" "runtime error:" "Assertion [Ff]ailed"
    "Tested: 0 ")
set(PRONG_TEST_ENVIRONMENT
    "ASAN_OPTIONS=abort_on_error=1:detect_leaks=1"
    "UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1"
    # nng itself is not instrumented; only races that involve our own code are ours to find.
    # Each test is a process, and ThreadSanitizer would wait a second at the end of each.
    "TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1:ignore_noninstrumented_modules=1:atexit_sleep_ms=50"
    "PRONG_BIN_DIR=${CMAKE_BINARY_DIR}/bin"
    "PRONG_SOURCE_DIR=${PROJECT_SOURCE_DIR}")

# What several programs of tests have in common is compiled once, not in each of them.
#
# prong_test_kit(NAME SOURCES a.c b.c [LIBS libx ...] [PLAIN]): $<TARGET_OBJECTS:NAME> then stands among the
# SOURCES of tests that are PLAIN in the same way.
function(prong_test_kit name)
  cmake_parse_arguments(PARSE_ARGV 1 T "PLAIN" "" "SOURCES;LIBS")
  if(T_UNPARSED_ARGUMENTS OR NOT T_SOURCES)
    message(FATAL_ERROR "prong_test_kit(${name}): SOURCES are needed, not known: ${T_UNPARSED_ARGUMENTS}")
  endif()
  add_library(${name} OBJECT ${T_SOURCES})
  prong_target(${name})
  if(T_PLAIN OR NOT PRONG_TEST_USES_CRITERION)
    target_compile_definitions(${name} PRIVATE PRONG_PLAIN_TESTS)
    target_link_libraries(${name} PRIVATE ${T_LIBS} prong_test_support)
  else()
    target_link_libraries(${name} PRIVATE prong_criterion ${T_LIBS} prong_test_support)
  endif()
endfunction()

function(prong_test name)
  cmake_parse_arguments(PARSE_ARGV 1 T "PLAIN" "TIMEOUT" "SOURCES;LIBS;LABELS")
  if(T_UNPARSED_ARGUMENTS OR NOT T_SOURCES)
    message(FATAL_ERROR "prong_test(${name}): SOURCES are needed, not known: ${T_UNPARSED_ARGUMENTS}")
  endif()
  if(NOT T_TIMEOUT)
    set(T_TIMEOUT 60)
  endif()
  if(PRONG_SANITIZE)
    math(EXPR T_TIMEOUT "3 * ${T_TIMEOUT}")
  endif()
  add_executable(${name} ${T_SOURCES})
  prong_target(${name})
  # In a folder of their own: build/bin holds what is installed and nothing else.
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/tests/bin")
  # One test may not use up the whole program's time, or nobody would be told which one hung.
  math(EXPR each "(${T_TIMEOUT} + 1) / 2")
  if(T_PLAIN OR NOT PRONG_TEST_USES_CRITERION)
    target_sources(${name} PRIVATE $<TARGET_OBJECTS:prong_plain_test>)
    target_compile_definitions(${name} PRIVATE PRONG_PLAIN_TESTS)
    target_link_libraries(${name} PRIVATE ${T_LIBS} prong_test_support)
    set(options "--timeout=${each}")
  else()
    target_link_libraries(${name} PRIVATE prong_criterion ${T_LIBS} prong_test_support)
    target_sources(${name} PRIVATE $<TARGET_OBJECTS:prong_criterion_guard>)
    set(options "--jobs=2")
  endif()
  add_test(NAME ${name}
           COMMAND "${PROJECT_SOURCE_DIR}/tests/support/fresh_dir"
                   "${CMAKE_BINARY_DIR}/tests/tmp/${name}" $<TARGET_FILE:${name}> ${options})
  set_tests_properties(${name} PROPERTIES
                       TIMEOUT ${T_TIMEOUT}
                       SKIP_RETURN_CODE 77
                       FAIL_REGULAR_EXPRESSION "${PRONG_TEST_FAILS}"
                       ENVIRONMENT "${PRONG_TEST_ENVIRONMENT};PRONG_TEST_SECONDS=${each}")
  if(T_LABELS)
    set_tests_properties(${name} PROPERTIES LABELS "${T_LABELS}")
  endif()
endfunction()

# prong_test_memory(NAME): in this test program allocations can be made to fail (tests/support/memory.h).
function(prong_test_memory name)
  target_sources(${name} PRIVATE "${PROJECT_SOURCE_DIR}/tests/support/memory.c")
  target_link_options(${name} PRIVATE
                      -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=strdup,--wrap=strndup)
endfunction()

add_subdirectory("${PROJECT_SOURCE_DIR}/tests/support" "${CMAKE_BINARY_DIR}/tests/support")
