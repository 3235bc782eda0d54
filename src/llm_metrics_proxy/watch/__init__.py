"""Objectives, alerts and budgets: what is measured again and again, and who gets a message when something is wrong.

rules        pure: an objective and an alert as frozen values
states       pure: the state machine of one alert
budget_states  pure: that of a budget
evaluation   a rule as a query, and its answer as a report
budgets      a budget as queries, and its answer as a report
budget_watch what a budget has told, and its messages
limits       windows of servers' limits as reports, and as what alerts measure
watcher      the threads that measure, and keep states in the database
delivery     messages of alerts, and who takes them
webhook      one attempt to send a message, and when to try again
"""
