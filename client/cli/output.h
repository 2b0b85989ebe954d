/* What the program says: data on stdout, everything else on stderr. */
#ifndef PRONG_CLI_OUTPUT_H
#define PRONG_CLI_OUTPUT_H

#include "client/cli/cli.h"

enum output_form { OUTPUT_TABLE, OUTPUT_JSON, OUTPUT_JSONL, OUTPUT_RAW };

/* As -o says; else a table on a terminal and JSON elsewhere. */
enum output_form output_form(const struct cli *cli);

/* "prong: text" on stderr, with what a terminal would take for a command made harmless. */
__attribute__((format(printf, 2, 3))) void output_say(const struct cli *cli, const char *format,
                                                      ...);
/* The same, but not with -q: what is no error. */
__attribute__((format(printf, 2, 3))) void output_note(const struct cli *cli, const char *format,
                                                       ...);
/* What is wrong with the command line, and where to look. Returns CLI_USAGE. */
__attribute__((format(printf, 2, 3))) int output_usage(const struct cli *cli, const char *format,
                                                       ...);
/* Lines of text from elsewhere on stderr, each behind `prefix`. */
void output_block(const char *prefix, const char *text, size_t len);

/* A value as JSON on stdout: lines with indents on a terminal and one line elsewhere; with jsonl
 * one line for each element of a list; with raw the bytes of a text or of bytes. */
int output_value(const struct cli *cli, const prong_value *value);
/* The same on one line, whatever is asked for. */
int output_line(const struct cli *cli, const prong_value *value);

/* The object that prong_call_json gives for an error. */
void output_write_error(prong_writer *w, const prong_outcome *error);
/* A failure: `what` is the subject of the sentence. On stderr, and with -o json as an object on
 * stdout too. Return the exit code of the program. */
int output_failure(const struct cli *cli, const char *what, prong_reply *reply);
int output_error(const struct cli *cli, prong_err code, const char *what, const char *text);
int output_no_memory(const struct cli *cli);

/* What was printed so far leaves now. False with the errno of the first write that failed, which
 * output_end tells; EPIPE: nobody reads any more. */
bool output_flush(void);
/* The end: what is buffered leaves. `code` is what the verb returned; returns the program's. */
int output_end(const struct cli *cli, int code);

#endif
