// Files: reading, writing, and what the file system knows about them.
#pragma once

#include <ramie/fs/file.hpp>
#include <ramie/fs/metadata.hpp>
#include <ramie/fs/path.hpp>
