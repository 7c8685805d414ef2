// `ramie env`: shows the environment variables and the values that they set here.
#pragma once

/// Prints the table to stdout, and errors in the environment to stderr.
/// Returns  0; 2 for an unknown argument; 78 (EX_CONFIG) if RAMIE_STRICT refuses the environment.
int env_command(int argc, char** argv);
