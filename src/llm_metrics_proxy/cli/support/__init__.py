"""What ``support-bundle`` packs, and how it is made fit to be given away.

redaction   pure: only the program's own words, numbers and times pass; all else has a number in its place
known       secrets and names of this installation, which are taken out even where they are words of the program
parts       the files of a bundle: what each holds, and how it is made
"""
