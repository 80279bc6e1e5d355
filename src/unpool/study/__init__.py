"""A study: many trainings after one plan, done by one process or shared by many."""
