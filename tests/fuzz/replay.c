/* Runs a fuzz entry over files and folders of files, in builds that have no libFuzzer. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUT_BYTES_MAX = 1 << 20 };

/* The entry sees memory of exactly the input's length. */
static int
run_file(const char *path)
{
    static uint8_t room[INPUT_BYTES_MAX];
    FILE *in = fopen(path, "rb");
    if (in == NULL) {
        perror(path);
        return -1;
    }
    const size_t size = fread(room, 1, sizeof room, in);
    (void)fclose(in); /* only read */
    uint8_t *data = malloc(size > 0 ? size : 1);
    if (data == NULL) {
        perror(path);
        return -1;
    }
    memcpy(data, room, size);
    (void)LLVMFuzzerTestOneInput(data, size);
    free(data);
    return 1;
}

/* How many files were run, -1 after saying what was wrong. */
static int
run(const char *path)
{
    DIR *folder = opendir(path);
    if (folder == NULL) {
        return run_file(path);
    }
    int count = 0;
    for (const struct dirent *e = readdir(folder); e != NULL && count >= 0; e = readdir(folder)) {
        char inner[4096];
        const int n = snprintf(inner, sizeof inner, "%s/%s", path, e->d_name);
        if (e->d_name[0] != '.' && n > 0 && (size_t)n < sizeof inner) {
            count = run_file(inner) < 0 ? -1 : count + 1;
        }
    }
    (void)closedir(folder);
    return count;
}

int
main(int argc, char **argv)
{
    int count = 0;
    for (int i = 1; i < argc; i++) {
        const int n = run(argv[i]);
        if (n < 0) {
            return 1;
        }
        count += n;
    }
    printf("%d inputs\n", count);
    return count > 0 ? 0 : 1;
}
