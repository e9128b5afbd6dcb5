/* The options of ks_key_create over the config. */
#ifndef LIB_OPTIONS_H
#define LIB_OPTIONS_H

#include "core/model.h"

/* The settings of a key with these options. False for options that are out of range or unknown. */
bool options_settle(const struct ks_key_options *options, struct settings *settings);

#endif
