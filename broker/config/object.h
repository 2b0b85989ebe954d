/* The members of struct config_hub and struct config_worker, reached through the table of options.
 *
 * `object` is the structure that the option belongs to, always filled with zeros before its first
 * use. Functions that return int give -1 when memory is out and then leave the object as it was. */
#ifndef PRONG_CONFIG_OBJECT_H
#define PRONG_CONFIG_OBJECT_H

#include "broker/config/options.h"

/* A copy with a NUL behind it; owned (free), NULL when memory is out. */
char *config_text_new(const char *text, size_t len);

/* For the kinds that are numbers inside. */
void config_object_set_number(const struct config_option *option, void *object, int64_t value);
int64_t config_object_number(const struct config_option *option, const void *object);

/* Borrowed members, for the kinds named. */
char **config_object_text(const struct config_option *option, void *object); /* STRING, PATH */
struct config_list *config_object_list(const struct config_option *option, void *object); /* LIST */
struct config_map *config_object_map(const struct config_option *option, void *object);   /* MAP */

/* `item`, `name` and `value` are moved on success (texts from malloc). */
int config_list_add(struct config_list *list, char *item);
int config_map_add(struct config_map *map, struct config_pair pair);
/* Borrowed, or NULL. */
const struct config_pair *config_map_find(const struct config_map *map, const char *name);

/* Whether both have the same value of this option. */
bool config_object_is_same(const struct config_option *option, const void *a, const void *b);
/* Bytes that a copy of the option's texts takes. */
size_t config_object_size(const struct config_option *option, const void *object);
/* Copy one option. A MAP gains what it lacks and keeps what it has; all else must be empty in `to`.
 */
int config_object_copy(const struct config_option *option, const void *from, void *to);
/* Give one option the default of the table; it must be empty. */
int config_object_default(const struct config_option *option, void *object);
/* Empty one option, or all of a table. */
void config_object_clear(const struct config_option *option, void *object);
void config_object_clear_all(const struct config_table *table, void *object);

#endif
