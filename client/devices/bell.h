/* An eventfd between two threads of a device: one rings, the other one waits and looks at
 * everything. Rings that are not heard yet are one. Threads: any. */
#ifndef PRONG_DEVICES_BELL_H
#define PRONG_DEVICES_BELL_H

void bell_ring(int fd);
/* Until it is rung again there is nothing to wait for any more. Nothing happens when it did not
 * ring, or somebody else has heard it. */
void bell_hear(int fd);

#endif
