/* Copying what will be read by another process, once, somewhat later: prong_stream_copy. */
#ifndef PRONG_CLIENT_STREAM_COPY_H
#define PRONG_CLIENT_STREAM_COPY_H

/* From so many bytes on a copy goes past the caches. Where the stores of a frame of 1920x1080x3
 * bytes first fetched the lines that they overwrite, and pushed other data out for lines that are
 * pushed out themselves before they are read, a frame took 1.3 to 1.5 times as long from the
 * writer's copy to the end of the reader's sum over it; with 2.7 MB it was even, and with 900 KB
 * better to leave it to the caches. */
enum { COPY_PAST_CACHE_BYTES = 2 * 1024 * 1024 };

#endif
