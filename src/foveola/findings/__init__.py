"""What is wrong with data: pure functions of facts that give findings."""
