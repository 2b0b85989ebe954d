/* prong-io: devices that need nothing but the system itself. */
#include "client/devices/io/kinds.h"

int
main(void)
{
    const struct device_kind_ops kinds[] = {
        io_tcp_listen, io_tcp_connect, io_udp,   io_serial, io_fifo,
        io_file_tail,  io_watch,       io_timer, io_cron,   io_stdin,
    };
    return device_main(kinds, sizeof kinds / sizeof kinds[0]);
}
