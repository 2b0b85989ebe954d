#include "client/devices/gpio/file.h"

#include <stdio.h>
#include <string.h>

enum { PATH_BYTES_MAX = 64 };

static const char THERE_ARE[] = "; there are ";

static bool
look(const char *chip, struct stat *file)
{
    char path[PATH_BYTES_MAX];
    snprintf(path, sizeof path, "/dev/%s", chip);
    return stat(path, file) == 0;
}

void
gpio_file_note(struct gpio_file *file, const char *chip)
{
    file->is_known = look(chip, &file->file);
}

/* A chip that has come back has the same name and may have the same number, but another file. */
bool
gpio_file_is_there(const struct gpio_file *file, const char *chip)
{
    struct stat now;
    if (!file->is_known) {
        return true; /* a container may have given it another name; who uses it will see */
    }
    return look(chip, &now) && now.st_rdev == file->file.st_rdev &&
           now.st_ino == file->file.st_ino && now.st_ctim.tv_sec == file->file.st_ctim.tv_sec &&
           now.st_ctim.tv_nsec == file->file.st_ctim.tv_nsec;
}

void
gpio_say_held(const char *chip, unsigned offset, const char *who, char *why, size_t why_bytes)
{
    snprintf(why, why_bytes, "line %u of %s is held by %s", offset, chip,
             who != NULL ? who : "the kernel");
}

void
gpio_say_twice(const char *chip, unsigned offset, char *why, size_t why_bytes)
{
    snprintf(why, why_bytes, "line %u of %s is there twice", offset, chip);
}

void
gpio_say_not_taken(const char *chip, unsigned offset, int error, char *why, size_t why_bytes)
{
    snprintf(why, why_bytes, "line %u of %s cannot be taken: %s", offset, chip, strerror(error));
}

void
gpio_say_no_offset(const char *chip, size_t count, int offset, char *why, size_t why_bytes)
{
    snprintf(why, why_bytes, "%s has %zu lines, no line %d", chip, count, offset);
}

void
gpio_say_no_name(const char *chip, const char *name, char *why, size_t why_bytes)
{
    snprintf(why, why_bytes, "%s has no line '%s'", chip, name);
}

bool
gpio_say_name(const char *name, char *why, size_t why_bytes)
{
    const size_t used = strlen(why);
    const char *before = strstr(why, THERE_ARE) == NULL ? THERE_ARE : ", ";
    const bool has_room = used + strlen(before) + strlen(name) + strlen(", ...") < why_bytes;
    snprintf(why + used, why_bytes - used, "%s%s", has_room ? before : ", ",
             has_room ? name : "...");
    return has_room;
}
