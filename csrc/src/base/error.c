/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "pyspin.h"

const char *spn_strerror(int code)
{
    switch (code) {
    case SPN_ESTOPPED:
        return "stopped";
    case SPN_EFORKED:
        return "not usable in a forked child process";
    case SPN_ENUMBERS:
        return "every sequence number of the connection is in use";
    default:
        break;
    }
    return code < 0 ? strerror(-code) : "success";
}
