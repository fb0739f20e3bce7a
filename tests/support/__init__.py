"""What several folders of tests share; each module says what it is for."""
