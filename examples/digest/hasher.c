/* A worker that hashes files: one call, one file. It remembers what it hashed, so a file that comes
 * to the same replica again (by the key of its folder) costs nothing. */
#include <prong/worker.h>

#include <openssl/evp.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CACHE = 4096, CHUNK = 256 * 1024, HEX = 2 * EVP_MAX_MD_SIZE + 1 };

/* What a file's hash was, for as long as the file stays the same. */
struct entry {
    char *path;
    struct timespec changed;
    off_t size;
    char hex[HEX];
};

struct hasher {
    struct entry cache[CACHE]; /* by a hash of the path; the newest stays */
    unsigned char chunk[CHUNK];
};

static struct entry *
entry_of(struct hasher *h, const char *path)
{
    unsigned hash = 5381;
    for (const char *p = path; *p != '\0'; p++) {
        hash = hash * 33 + (unsigned char)*p;
    }
    return &h->cache[hash % CACHE];
}

static bool
is_fresh(const struct entry *e, const char *path, const struct stat *s)
{
    return e->path != NULL && strcmp(e->path, path) == 0 && e->size == s->st_size &&
           e->changed.tv_sec == s->st_mtim.tv_sec && e->changed.tv_nsec == s->st_mtim.tv_nsec;
}

static void
remember(struct entry *e, const char *path, const struct stat *s, const char *hex)
{
    free(e->path);
    *e = (struct entry){.path = strdup(path), .changed = s->st_mtim, .size = s->st_size};
    (void)snprintf(e->hex, sizeof e->hex, "%s", hex);
}

/* Read the whole file through the digest; PRONG_OK, or the job has failed. */
static prong_err
hash_file(prong_job *job, struct hasher *h, int fd, const char *path, char hex[HEX])
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned length = 0;
    ssize_t n = 0;
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool good = context != NULL && EVP_DigestInit_ex(context, EVP_sha256(), NULL) == 1;
    while (good && !prong_job_is_cancelled(job) && (n = read(fd, h->chunk, CHUNK)) > 0) {
        good = EVP_DigestUpdate(context, h->chunk, (size_t)n) == 1;
    }
    good = good && EVP_DigestFinal_ex(context, digest, &length) == 1;
    EVP_MD_CTX_free(context);
    if (prong_job_is_cancelled(job)) {
        return prong_job_fail(job, PRONG_CANCELLED, "cancelled while it was hashed");
    }
    if (n < 0 || !good) {
        char text[600];
        (void)snprintf(text, sizeof text, "%.500s: %s", path,
                       n < 0 ? strerror(errno) : "the digest failed");
        return prong_job_fail(job, PRONG_FAILED_PRECONDITION, text);
    }
    for (unsigned i = 0; i < length; i++) {
        (void)snprintf(hex + (size_t)2 * i, 3, "%02x", digest[i]);
    }
    return PRONG_OK;
}

static prong_err
no_file(prong_job *job, const char *path)
{
    const prong_err code = errno == ENOENT   ? PRONG_NOT_FOUND
                           : errno == EACCES ? PRONG_PERMISSION_DENIED
                                             : PRONG_FAILED_PRECONDITION;
    char text[600];
    (void)snprintf(text, sizeof text, "%.500s: %s", path, strerror(errno));
    return prong_job_fail(job, code, text);
}

static void
write_result(prong_job *job, const char *path, off_t size, const char *hex, bool cached)
{
    prong_writer *w = prong_job_result(job);
    prong_writer_map(w, 5);
    prong_writer_key(w, "path");
    prong_writer_string(w, path);
    prong_writer_key(w, "sha256");
    prong_writer_string(w, hex);
    prong_writer_key(w, "bytes");
    prong_writer_int(w, size);
    prong_writer_key(w, "cached");
    prong_writer_bool(w, cached);
    prong_writer_key(w, "replica");
    prong_writer_string(w, prong_worker_name(prong_job_worker(job)));
}

static prong_err
sha256(prong_job *job, const prong_value *args, void *context)
{
    struct hasher *h = context;
    prong_value v;
    struct stat s;
    char hex[HEX] = "";
    char *path = prong_value_find(args, "path", &v) ? prong_value_string(&v) : NULL;
    if (path == NULL) {
        return prong_job_fail(job, PRONG_INVALID_ARGUMENT, "sha256 needs a path, a text");
    }
    prong_err code = PRONG_OK;
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &s) != 0) {
        code = no_file(job, path);
    } else if (!S_ISREG(s.st_mode)) {
        code = prong_job_fail(job, PRONG_INVALID_ARGUMENT, "only regular files are hashed");
    } else {
        struct entry *e = entry_of(h, path);
        const bool cached = is_fresh(e, path, &s);
        code = cached ? PRONG_OK : hash_file(job, h, fd, path, hex);
        if (code == PRONG_OK) {
            write_result(job, path, s.st_size, cached ? e->hex : hex, cached);
        }
        if (code == PRONG_OK && !cached) {
            remember(e, path, &s, hex);
        }
    }
    if (fd >= 0) {
        (void)close(fd); /* nothing was written */
    }
    prong_free(path);
    return code;
}

int
main(void)
{
    struct hasher *h = calloc(1, sizeof *h);
    const prong_method methods[] = {
        {"sha256", sha256, PRONG_IDEMPOTENT, "the SHA-256 of the file {path}", h}};
    prong_worker *worker = h != NULL ? prong_worker_new(methods, 1) : NULL;
    const int code = prong_worker_run(worker);
    prong_worker_free(worker);
    for (size_t i = 0; h != NULL && i < CACHE; i++) {
        free(h->cache[i].path);
    }
    free(h);
    return code;
}
