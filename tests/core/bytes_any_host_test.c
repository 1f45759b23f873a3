/* The same where the host's order of bytes is not known. */
#undef __BYTE_ORDER__
#include "core/bytes_test.c"
