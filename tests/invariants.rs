//! What holds for whole runs: no record is lost, the first reason wins, and no result depends on threads, on the
//! place and order of files, or on where a run was stopped.

mod conservation;
mod independence;
mod repeats;
mod resume;
