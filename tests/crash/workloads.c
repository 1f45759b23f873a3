#include "crash/workloads.h"

#include "strata.h"

#include <string.h>

const struct workload workloads[WORKLOAD_COUNT] = {
    {"standard", "12pCf8pd+4pf6p2dC5pf8pD3pM4p+2pRd6pC4p.2pR3p", STRATA_STANDARD},
    {"always", "6pCf5pdf5pf4pC2dD4pM3pR3p", STRATA_ALWAYS},
    {"mixed", "4pa2pty3pCfa2ptf2paf3pCtD2pa+pM2pt.aR2pa3pC2p", STRATA_STANDARD},
    {"large", "2pvCfp2vwf2pafpbC2vyDwpMvpw+pRv2p", STRATA_STANDARD},
    {"counters", "4i2pe2iCf3if2e2if3ipC2i+eD2iM3i+2eiR3ia", STRATA_STANDARD},
    {"spaces", "6pxt3pCf4pxf3pmf4pC2xmD3pM2px+2pR3pxC2p", STRATA_STANDARD},
    {"branches", "3pfpfpfpCn2prpFpDpCf2pFpnpDpMrpfpDpR2pfpD2p", STRATA_STANDARD},
    {"transactions", "3tamtCfa2tmfatf2tmC2taDtmM2tayR2tam3tC2t", STRATA_STANDARD},
    {"history", "10kCf8khF6kfC3klfk+6kDF4kMl8kh-4k+k.Cl5kR4k", STRATA_STANDARD},
    {"dropping", "3pf4pC4pfC4phfC4pCDl.....lfphD.....lpR2pfhD4pC4pC4plCD.....lM2plRp",
     STRATA_STANDARD},
    {"merging",
     "4kfC4kC4kfC4kfC.....4kC4kdC4kDC4kC.....3kC2kC2kC2kC.....2kC2kFC2kC2kC.....M3kR3kd.p.",
     STRATA_STANDARD},
    {"reading", "4pC3psC.....2psC..3pFsdC.....R2psC...p", STRATA_STANDARD},
    {"laps", "40pf45kfC30pf30p+3pD30kM9pR40kCa20p", STRATA_STANDARD},
    {"reopening", "3pRpCfpRpfaRfpCpR2pDRpMR2p+.Rpa..R2p", STRATA_STANDARD},
};

const struct workload *workload_find(const char *name, size_t name_size)
{
    for (size_t i = 0; i < WORKLOAD_COUNT; i++) {
        if (strlen(workloads[i].name) == name_size &&
            memcmp(workloads[i].name, name, name_size) == 0)
            return &workloads[i];
    }
    return NULL;
}
