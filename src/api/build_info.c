#include "core/public.h"

/* A build by CMake knows the commit, and has this file beside strata.c, which leaves the function out, so
 * that another commit does not mean to compile everything again. */
#ifndef STRATA_BUILD_COMMIT
#define STRATA_BUILD_COMMIT "unknown"
#endif

#define BUILD_TEXT_OF(number) #number
#define BUILD_TEXT(number)    BUILD_TEXT_OF(number)

#if defined(__clang__)
#define BUILD_COMPILER                                                                             \
    "clang-" BUILD_TEXT(__clang_major__) "." BUILD_TEXT(__clang_minor__) "." BUILD_TEXT(           \
        __clang_patchlevel__)
#elif defined(__GNUC__)
#define BUILD_COMPILER                                                                             \
    "gcc-" BUILD_TEXT(__GNUC__) "." BUILD_TEXT(__GNUC_MINOR__) "." BUILD_TEXT(__GNUC_PATCHLEVEL__)
#else
#define BUILD_COMPILER "unknown"
#endif

#ifdef NDEBUG
#define BUILD_ASSERTIONS "off"
#else
#define BUILD_ASSERTIONS "on"
#endif

#ifndef STRATA_BUILD_INFO_APART
const char *strata_build_info(void)
{
    return "commit=" STRATA_BUILD_COMMIT " compiler=" BUILD_COMPILER " assertions=" BUILD_ASSERTIONS
           " parts=kv,branch";
}
#endif
