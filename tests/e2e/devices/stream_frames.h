/* What a frame shows, as the program that prints frames was linked: see stream_frames.c. */
#ifndef PRONG_TESTS_STREAM_FRAMES_H
#define PRONG_TESTS_STREAM_FRAMES_H

#include <prong/stream.h>

/* A number that the picture itself has, or -1 when it is not as it should be. */
int stream_shows(const prong_frame *f);

#endif
