/* Throws an exception that nobody catches. The host: an exception of that type. */
#include "zoo.h"

#include <stdexcept>

void zoo_fault(HEXPERTKEY, const EXPERTFRAMEDESCRIPTOR *)
{
    throw std::runtime_error("a table is full");
}
