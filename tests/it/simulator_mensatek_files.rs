//! The simulated Mensatek keeps a library of files, lets them be attached, and gives out certificates that others can open.
