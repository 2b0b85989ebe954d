/* Command lines as words: see work.h. */
#include <stdlib.h>
#include <string.h>

#include "broker/import/work.h"

/* One word at `*at`, which is left behind it. */
static enum import_split
take_word(const char **at, struct buf *word)
{
    char quote = '\0';
    for (; **at != '\0'; (*at)++) {
        const char c = **at;
        if (quote == '\0' && strchr(" \t\r\n", c) != NULL) {
            break;
        }
        if (quote != '\'' && c == '\\') {
            /* Between double quotes it stands for itself before all but these. */
            if ((*at)[1] == '\0') {
                return IMPORT_SPLIT_QUOTE;
            }
            if (quote == '"' && strchr("\"\\$`", (*at)[1]) == NULL) {
                buf_put(word, at[0], 1);
                continue;
            }
            (*at)++;
            buf_put(word, at[0], 1);
        } else if (quote == c) {
            quote = '\0';
        } else if (quote == '\0' && (c == '\'' || c == '"')) {
            quote = c;
        } else {
            buf_put(word, at[0], 1);
        }
    }
    return quote == '\0' ? IMPORT_SPLIT_OK : IMPORT_SPLIT_QUOTE;
}

enum import_split
import_words_split(const char *text, struct import_words *words)
{
    *words = (struct import_words){0};
    text += strspn(text, " \t\r\n");
    while (*text != '\0') {
        struct buf word = {0};
        enum import_split result =
            words->count < IMPORT_WORDS_MAX ? take_word(&text, &word) : IMPORT_SPLIT_MANY;
        buf_put(&word, "", 1);
        if (result == IMPORT_SPLIT_OK && word.failed) {
            result = IMPORT_SPLIT_NOMEM;
        }
        if (result != IMPORT_SPLIT_OK) {
            buf_deinit(&word);
            return result;
        }
        words->items[words->count++] = (char *)word.data; /* moved */
        text += strspn(text, " \t\r\n");
    }
    return IMPORT_SPLIT_OK;
}

void
import_words_free(struct import_words *words)
{
    for (size_t i = 0; i < words->count; i++) {
        free(words->items[i]);
    }
    words->count = 0;
}

const char *
import_split_text(enum import_split result)
{
    switch (result) {
    case IMPORT_SPLIT_OK:
        break;
    case IMPORT_SPLIT_QUOTE:
        return "a quote in it is not closed";
    case IMPORT_SPLIT_MANY:
        return "it has more words than a command may have";
    case IMPORT_SPLIT_NOMEM:
        return "there is no memory for it";
    }
    return "";
}
