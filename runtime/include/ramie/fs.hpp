// Files and directories: reading, writing, making, listing and watching them, and what the file
// system knows about them.
#pragma once

#include <ramie/fs/directory.hpp>
#include <ramie/fs/file.hpp>
#include <ramie/fs/metadata.hpp>
#include <ramie/fs/names.hpp>
#include <ramie/fs/path.hpp>
#include <ramie/fs/temp.hpp>
#include <ramie/fs/watch.hpp>
