/* prong-io: devices that need nothing but the system itself. */
#include "client/devices/io/kinds.h"

int
main(void)
{
    const struct device_kind_ops kinds[] = {io_tcp_listen};
    return device_main(kinds, sizeof kinds / sizeof kinds[0]);
}
