"""Where the kernels run, and that they use torch's threads."""

import os
import subprocess
import sys

import torch

from foveola_kernels.compiled.threads import library


def test_numba_forbidden_to_compile_is_respected_without_a_complaint():
    imports = "import foveola_kernels as k; from foveola_kernels.availability import kernels"
    code = f"{imports}; print(kernels(), [k.problem()], k.backend_id())"
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "None [''] torch"


def test_a_numba_that_can_not_be_imported_is_a_problem():
    code = "import sys; sys.modules['numba'] = None; import foveola_kernels; print(foveola_kernels.problem())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "import of numba halted; None in sys.modules"


def test_the_identity_is_read_without_importing_numba():
    code = "import sys, foveola_kernels; print(foveola_kernels.backend_id(), 'numba' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    name, version, numba, number, imported = done.stdout.split()
    assert (name, numba, imported) == ("foveola-kernels", "numba", "False")
    assert version.rstrip(",").count(".") == number.count(".") == 2


def test_the_kernels_take_as_many_threads_as_torch():
    threads = torch.get_num_threads()
    try:
        for many in (1, 2, 3):
            torch.set_num_threads(many)
            assert library().omp_get_max_threads() == many
    finally:
        torch.set_num_threads(threads)
