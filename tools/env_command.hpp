// `ramie env`: which environment variables there are, and what they would set here and now.
#pragma once

/// Prints the table to stdout, what is wrong with the environment to stderr.
/// Returns  0; 2 for an unknown argument; 78 (EX_CONFIG) if RAMIE_STRICT refuses the environment.
int env_command(int argc, char** argv);
