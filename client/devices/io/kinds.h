/* The kinds of prong-io, each in a file of its own. */
#ifndef PRONG_DEVICES_IO_KINDS_H
#define PRONG_DEVICES_IO_KINDS_H

#include "client/devices/device.h"

extern const struct device_kind_ops io_tcp_listen, io_tcp_connect, io_udp, io_serial, io_fifo,
    io_file_tail, io_watch, io_timer, io_cron, io_stdin;

#endif
