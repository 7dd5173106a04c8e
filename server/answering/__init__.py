"""Heavy requests, answered whole in answer processes: killable, with limits of the operating system."""
