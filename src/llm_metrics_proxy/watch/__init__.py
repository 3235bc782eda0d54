"""Objectives and alerts: what is measured again and again, what is told when something is wrong, and to whom.

rules        pure: an objective and an alert as frozen values
states       pure: the state machine of one alert
evaluation   a rule as a query, and its answer as a report
watcher      the threads that measure, and keep states in the database
webhook      one attempt to tell somebody, and when to try again
"""
