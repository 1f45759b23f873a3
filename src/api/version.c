#include "api/argument.h"

uint32_t strata_version(void)
{
    return STRATA_VERSION_NUMBER;
}

uint32_t strata_format_version(void)
{
    return FORMAT_VERSION;
}
