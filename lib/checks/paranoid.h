/* Keys with paranoid checks: quarantine.h, guard.h. */
#ifndef LIB_CHECKS_PARANOID_H
#define LIB_CHECKS_PARANOID_H

#include "core/model.h"

extern const struct checks checks_paranoid;

#endif
