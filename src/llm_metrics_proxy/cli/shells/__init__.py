"""What shells and ``man`` know of the command line: made from the verbs, so that it cannot name what does not exist.

tree            the verbs and their flags as frozen values
bash zsh fish   completion scripts, which ask no Python: pressing Tab takes milliseconds
man_page        the manual page
"""
