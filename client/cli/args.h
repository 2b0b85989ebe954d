/* The arguments of a call, and the payload of an event, as they are written on a command line. */
#ifndef PRONG_CLI_ARGS_H
#define PRONG_CLI_ARGS_H

#include "client/cli/cli.h"

/* Write what the words say as one object:
 *
 *   nothing             an empty map
 *   -                   JSON from stdin, until the deadline of the verb unless it is a terminal
 *   {...}               a JSON object; also [...], for positional arguments
 *   key=value ...       a map: value is a text
 *   key=@file ...       the text of a file ("@@" is a "@")
 *   key:=json ...       any JSON
 *   key:=@file ...      JSON of a file
 *
 * CLI_USAGE after it told what is wrong with them, CLI_FAILED for a file or stdin. */
int args_write(struct cli *cli, const char *const *words, int count, prong_writer *w);
/* JSON of any kind. */
int args_write_json(struct cli *cli, const char *json, prong_writer *w);

/* After INVALID_ARGUMENT: the "key=value" that was meant as JSON, to be proposed as "key:=value".
 * One whose key is named in the message, in quotes or, if none is, as a word, and whose value reads
 * as JSON that is no text. NULL when there is none; *key_len is the length of its key. */
const char *args_find_mistyped(const char *const *words, int count, const char *message,
                               size_t *key_len);

#endif
