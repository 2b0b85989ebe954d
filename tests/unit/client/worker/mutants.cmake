# Every rule of the link left out once: test_pull must notice each. A row is a line of pull.c, kept.c or
# stream.c and what stands in its place; a line that is no longer there is an error, so that no rule goes
# untested.
set(PULL_FOLDER "${PROJECT_SOURCE_DIR}/client/worker")
set(PULL_FILES pull kept stream)
foreach(file ${PULL_FILES})
  file(READ "${PULL_FOLDER}/${file}.c" SOURCE_${file})
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${PULL_FOLDER}/${file}.c")
endforeach()

function(pull_mutant name from to)
  set(found "")
  foreach(file ${PULL_FILES})
    string(FIND "${SOURCE_${file}}" "${from}" at)
    if(NOT at EQUAL -1)
      set(found ${file})
    endif()
  endforeach()
  if(found STREQUAL "")
    message(FATAL_ERROR "mutants.cmake: ${name}: nothing of the link has '${from}' any more")
  endif()
  string(REPLACE "${from}" "${to}" changed "${SOURCE_${found}}")
  set(file "${CMAKE_CURRENT_BINARY_DIR}/mutant_${name}.c")
  file(CONFIGURE OUTPUT "${file}" CONTENT "${changed}" @ONLY)
  add_executable(pull_without_${name} "${file}" $<TARGET_OBJECTS:pull_kit> $<TARGET_OBJECTS:prong_plain_test>)
  prong_target(pull_without_${name})
  target_compile_options(pull_without_${name} PRIVATE -w) # what is left over may be unused
  target_compile_definitions(pull_without_${name} PRIVATE PRONG_PLAIN_TESTS)
  target_link_libraries(pull_without_${name} PRIVATE prong_pull prong_test_support)
  set_target_properties(pull_without_${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY
                        "${CMAKE_BINARY_DIR}/tests/bin")
  add_test(NAME test_pull_without_${name}
           COMMAND "${PROJECT_SOURCE_DIR}/tests/support/fresh_dir"
                   "${CMAKE_BINARY_DIR}/tests/tmp/pull_without_${name}"
                   $<TARGET_FILE:pull_without_${name}> --timeout=10)
  set_tests_properties(test_pull_without_${name} PROPERTIES
                       PASS_REGULAR_EXPRESSION "passed, [1-9][0-9]* failed" TIMEOUT 60 LABELS worker)
endfunction()

# Rule 2: the POLLs are given up, and an answer to one of them is dropped.
pull_mutant(giving_up_polls "memset(p->awaits, 0, sizeof p->awaits);" "p->awaits[ATTACH] = 0;")
pull_mutant(dropping_given_up "else if (awaited(p, id) == NULL)" "else if (false)")
pull_mutant(welcome_before_poll "*id = p->welcome && !p->attach_due ? write_next(p, now_ns) : 0;"
            "*id = p->awaits[ATTACH] != 0 && !p->attach_due ? write_next(p, now_ns) : 0;")
pull_mutant(attach_numbers "write_uint(b, ++p->attach);" "write_uint(b, 1);")
pull_mutant(inventory_running "write_uint(b, p->items[i].job.call);" "write_uint(b, 1000000);")
pull_mutant(inventory_done "write_uint(b, p->kept[i].call);" "write_uint(b, 1000000);")
# Rule 3: "attach first" is obeyed, but not when it is of an earlier session.
pull_mutant(attaching_again "code == WIRE_ERR_FAILED_PRECONDITION" "code == WIRE_ERR_OK")
# Rule 4: WORK is numbered.
pull_mutant(dropping_repeats "number <= p->taken || pull_is_busy(p)" "pull_is_busy(p)")
pull_mutant(dropping_when_busy "number <= p->taken || pull_is_busy(p)" "number <= p->taken")
pull_mutant(saying_taken "write_uint(&p->out, p->taken);" "write_uint(&p->out, 0);")
pull_mutant(numbers_of_a_session "p->session = p->taken = 0;" "p->session = 0;")
# Rule 6: an outcome is kept until ACK names its call, and told again.
pull_mutant(keeping_until_named "p->untold -= count;" "p->untold -= count; p->kept_count = 0;")
pull_mutant(telling_again "p->kept[i].told = false;" "")
pull_mutant(forgetting "kept_forget(p, call);" "")
pull_mutant(bound_of_kept "p->kept_count >= PULL_KEPT_MAX" "false")
# One message.
pull_mutant(report_with_poll "if (kept_tellable(p) > 0 || !wants_poll(p) || is_full(p))" "if (true)")
# The end: what crossed the stop is run.
pull_mutant(waiting_for_the_poll "!pull_has_untold(p) && p->awaits[POLL] == 0" "!pull_has_untold(p)")
# Items: in order, numbered through the call, before its outcome, and again until an ACK covers them.
pull_mutant(items_before_the_outcome "return !k->told && stream_is_told(k->stream);" "return !k->told;")
pull_mutant(numbers_of_items "const uint64_t first = s->first + s->sent;" "const uint64_t first = s->sent;")
pull_mutant(telling_items_again "(*at)->sent = 0;" "")
pull_mutant(forgetting_items "drop(p, *at, (*at)->told[k].end);" "")
pull_mutant(keeping_items_until_ack "s->hurry &= s->sent < s->count;"
            "buf_skip(&s->bytes, s->sent_bytes); s->first += s->sent; s->count -= s->sent; \
s->sent_bytes = s->sent = 0;")
pull_mutant(items_of_an_ended_call "k->stream = p->stream;" "stream_free(p, &p->stream);")
pull_mutant(two_reports_of_items "if (s->told[i].end == 0) {" "if (true) {")
pull_mutant(asking_for_room "told = told != NULL ? told : asks_for_room(p, *at);" "")
pull_mutant(asking_for_room_once "return flying_count(s) == 0 && (s == p->stream" "return (s == p->stream")
pull_mutant(bound_of_items "return waits == 0 || waits + len <= WAITING_MAX;" "return true;")
pull_mutant(bound_of_reports_of_items "flying < FLYING_MAX &&" "")
pull_mutant(items_together "s->hurry || now_ns - s->sent_ns >= PULL_TOGETHER_MS * MS_NS ||" "true ||")
pull_mutant(first_item_at_once "(*at)->sent_ns = 0;" "(*at)->sent_ns = INT64_MAX;")
pull_mutant(length_of_reports_of_items "if (*count > 0 && len > bytes_max) {" "if (false) {")
