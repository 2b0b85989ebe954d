/* Names of codes and the version. Pure tables. */
#include <prong/prong.h>

#include "proto/wire.h"

const char *
prong_version(void)
{
    return PRONG_VERSION;
}

const char *
prong_err_name(prong_err code)
{
    return wire_error_name((unsigned)code);
}

const char *
prong_err_help(prong_err code)
{
    return (unsigned)code < WIRE_ERR_COUNT ? wire_errors[code].help : "not a code of Prong";
}
