/* What the parts of a device's common code tell each other: see device.h. */
#ifndef PRONG_DEVICES_INSIDE_H
#define PRONG_DEVICES_INSIDE_H

#include "client/devices/device.h"

/* The gate may have been opened or closed: look again at everything that is read. */
void device_gate(struct device *d);
/* Send what waits as far as the hub takes it. */
void device_drain(struct device *d);
/* Tell the hub that the device is up, when it had no room for that before. */
void device_tend_status(struct device *d);
/* Free what waits. */
void device_forget(struct device *d);

/* methods.c: pause, resume, stats, send. */
prong_err device_methods(struct device *d);

#endif
