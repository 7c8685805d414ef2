// What the library exports: everything is hidden unless it says RAMIE_API.
#pragma once

#define RAMIE_API __attribute__((visibility("default")))
